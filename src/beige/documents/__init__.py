"""Files in, chunks with locators out."""
