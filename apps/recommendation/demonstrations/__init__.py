"""Made shops and visitors for demonstrations."""
