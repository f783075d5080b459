DROP VIEW rejections; DROP VIEW source_positions;

UPDATE checkpoints SET counts = counts - 'rescued'
    || jsonb_build_object('salvaged', counts -> 'rescued')
WHERE counts ? 'rescued';

UPDATE events SET annotations = annotations - 'rescued' || '{"salvaged": true}'
WHERE annotations ? 'rescued';
ALTER TABLE checkpoints RENAME committed_offset TO settled_bytes;
ALTER TABLE checkpoints RENAME TO source_positions;
ALTER TABLE source_positions RENAME CONSTRAINT pk_checkpoints TO pk_source_positions;
ALTER TABLE source_positions RENAME CONSTRAINT uq_checkpoints_host_path
    TO uq_source_positions_host_path;
ALTER INDEX ix_checkpoints_inode RENAME TO ix_source_positions_inode;
ALTER INDEX ix_checkpoints_rules RENAME TO ix_source_positions_rules;
ALTER TABLE dead_letters RENAME TO rejections;
ALTER TABLE rejections RENAME CONSTRAINT pk_dead_letters TO pk_rejections;
ALTER TABLE rejections RENAME CONSTRAINT uq_dead_letters_source_id_source_offset_reason
    TO uq_rejections_source_id_source_offset_reason;
ALTER TABLE rejections RENAME CONSTRAINT fk_dead_letters_source_id TO fk_rejections_source_id;
