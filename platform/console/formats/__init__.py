"""How the console writes times and dates: like the API, so that they sort and can be copied."""
