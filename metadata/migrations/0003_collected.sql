-- A version that was collected keeps its row: its number is never given to another.
ALTER TABLE table_version ADD COLUMN is_collected BOOLEAN NOT NULL DEFAULT FALSE;
