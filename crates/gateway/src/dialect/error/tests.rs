use super::*;

fn sample(dialect: Dialect, status: u16) -> ApiError {
    let error = ApiError { status, ..ApiError::new(ErrorKind::of_status(status), "it failed") };
    ApiError::read(status, Some("7"), &error.body(dialect))
}

#[test]
fn every_status_goes_through_every_pair_of_dialects() {
    for from in Dialect::ALL {
        for to in Dialect::ALL {
            for status in [400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 504, 529] {
                let read = sample(from, status);
                assert_eq!((read.status, read.message.as_str()), (status, "it failed"), "{from}");
                assert_eq!(read.kind, ErrorKind::of_status(status), "{from} {status}");
                assert_eq!(read.retry_after.as_deref(), Some("7"));
                let again = ApiError::read(read.status, read.retry_after.as_deref(), &read.body(to));
                assert_eq!((again.status, again.kind, again.message), (status, read.kind, read.message), "{from} {to}");
            }
        }
    }
}

#[test]
fn a_providers_text_never_shows_a_key() {
    let body = br#"{"error":{"message":"Incorrect API key provided: sk-proj-abcdEFGH1234567890abcdEFGH1234567890. Authorization: Bearer abc.def-ghi","type":"invalid_request_error","code":"invalid_api_key"}}"#;
    let error = ApiError::read(401, None, body);
    assert!(!error.message.contains("abcdEFGH") && !error.message.contains("abc.def"), "{}", error.message);
    assert_eq!(error.code.as_deref(), Some("invalid_api_key"));
}

#[test]
fn an_error_in_a_200_has_the_status_of_its_kind() {
    for (body, kind, status) in [
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, ErrorKind::Overloaded, 529),
        (r#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#, ErrorKind::RateLimited, 429),
        (r#"{"error":{"code":503,"message":"gone","status":"UNAVAILABLE"}}"#, ErrorKind::Unavailable, 503),
        (r#"{"error":"out of memory"}"#, ErrorKind::Internal, 500),
    ] {
        let error = ApiError::of_body(&json::parse(body.as_bytes()).unwrap(), 200).unwrap();
        assert_eq!((error.kind, error.status), (kind, status), "{body}");
    }
    assert_eq!(ApiError::of_body(&json::parse(br#"{"choices":[],"error":null}"#).unwrap(), 200), None);
}

#[test]
fn a_page_of_a_proxy_is_quoted() {
    let error = ApiError::read(502, None, b"<html>Bad Gateway</html>");
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::BadGateway, "<html>Bad Gateway</html>"));
}

#[test]
fn gemini_says_in_the_body_when_to_come_back() {
    let body = br#"{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"6.2s"}]}}"#;
    assert_eq!(ApiError::read(429, None, body).retry_after.as_deref(), Some("7"));
}
