//! Checkpoints: numbered without end, kept to the newest hundred.

use orx_protocol::SessionId;
use orx_protocol::api::life::Checkpoint;
use orx_store::checkpoints;

use crate::support::Fixture;

fn checkpoint(at_ms: u64) -> Checkpoint {
    Checkpoint {
        sequence: 0,
        at_ms,
        label: Some("before the migration".to_owned()),
        data: None,
        commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        conversation: None,
        conversation_bytes: Some(9),
        output_bytes: 7,
        automatic: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_hundred_are_kept_and_numbers_go_on() {
    let fixture = Fixture::new();
    let (one, other) = (SessionId::generate(), SessionId::generate());
    for at_ms in 0..103 {
        let sequence = fixture.store.write(move |tx| checkpoints::add(tx, one, &checkpoint(at_ms))).await.unwrap();
        assert_eq!(sequence, at_ms + 1);
    }
    assert_eq!(fixture.store.write(move |tx| checkpoints::add(tx, other, &checkpoint(9))).await.unwrap(), 1);
    let kept = fixture.store.read(move |reader| checkpoints::list(reader, one)).await.unwrap();
    assert_eq!(kept.len(), 100);
    assert_eq!((kept[0].sequence, kept[99].sequence), (4, 103));
    assert_eq!(kept[99], Checkpoint { sequence: 103, ..checkpoint(102) });
    let read = |sequence| fixture.store.read(move |reader| checkpoints::get(reader, one, sequence));
    assert_eq!(read(3).await.unwrap(), None);
    assert_eq!(read(4).await.unwrap().map(|kept| kept.at_ms), Some(3));
}
