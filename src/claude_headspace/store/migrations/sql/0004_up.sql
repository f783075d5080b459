ALTER TABLE source_positions RENAME TO checkpoints;
ALTER TABLE checkpoints RENAME CONSTRAINT pk_source_positions TO pk_checkpoints;
ALTER TABLE checkpoints RENAME CONSTRAINT uq_source_positions_host_path TO uq_checkpoints_host_path;
ALTER INDEX ix_source_positions_inode RENAME TO ix_checkpoints_inode;
ALTER INDEX ix_source_positions_rules RENAME TO ix_checkpoints_rules;
ALTER TABLE rejections RENAME TO dead_letters;
ALTER TABLE dead_letters RENAME CONSTRAINT pk_rejections TO pk_dead_letters;
ALTER TABLE dead_letters RENAME CONSTRAINT uq_rejections_source_id_source_offset_reason
    TO uq_dead_letters_source_id_source_offset_reason;
ALTER TABLE dead_letters RENAME CONSTRAINT fk_rejections_source_id TO fk_dead_letters_source_id;
ALTER TABLE checkpoints RENAME settled_bytes TO committed_offset;

UPDATE checkpoints SET counts = counts - 'salvaged'
    || jsonb_build_object('rescued', counts -> 'salvaged')
WHERE counts ? 'salvaged';

UPDATE events SET annotations = annotations - 'salvaged' || '{"rescued": true}'
WHERE annotations ? 'salvaged';

-- For programs that read the log under its old names.
CREATE VIEW source_positions AS SELECT id, host, path, committed_offset AS settled_bytes, device,
    inode, mtime_ns, checksum, head, tail, counts, sessions, state, rules, reread_bytes,
    reread_state, updated_at FROM checkpoints;
CREATE VIEW rejections AS SELECT id, source_id, source_offset, reason, detail, content,
    recorded_at, resolved_at FROM dead_letters;
