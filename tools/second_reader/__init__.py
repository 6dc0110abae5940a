"""The second, independent reader and engine for .mu8 files, written from formats/FORMAT.md alone."""
