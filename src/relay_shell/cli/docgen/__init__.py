"""What is written from code: manual pages, the tool reference, the completion."""
