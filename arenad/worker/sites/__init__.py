"""Sites: how a chat is performed on a page, and how what the page receives becomes events."""
