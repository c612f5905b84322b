-- One hash of everything that is money or a fact about it: equal when nothing of it has changed. Without what passes by
-- itself: when an unknown outcome is looked at next.
WITH row_of (book, place, id, content) AS (
    SELECT 1, 0, id, to_jsonb(p) - '{unknown_next_check,updated_at}'::text[] FROM payments p
    UNION ALL
    SELECT 2, 0, payment_id || E'\n' || id, to_jsonb(r) - '{unknown_next_check,updated_at}'::text[] FROM refunds r
    UNION ALL
    SELECT 3, sequence, '', to_jsonb(t) FROM ledger_transactions t
    UNION ALL
    SELECT 4, sequence, '', to_jsonb(p) FROM postings p
    UNION ALL
    SELECT 5, position, '', to_jsonb(e) FROM payment_events e
)
SELECT encode(sha256(coalesce(string_agg(sha256(convert_to(content::text, 'UTF8')), NULL
    ORDER BY book, place, id COLLATE "C"), '')), 'hex')
FROM row_of
