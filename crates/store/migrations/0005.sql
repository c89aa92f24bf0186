-- What an answer of the cache had cost, and what was left out of a prompt that did not fit.
ALTER TABLE calls ADD COLUMN saved_microusd INTEGER;
ALTER TABLE calls ADD COLUMN left_out_tokens INTEGER;
