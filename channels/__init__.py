"""Rasa's plug point for channels: the web chat, the phone line, and the runner that takes turns off the server's loop."""
