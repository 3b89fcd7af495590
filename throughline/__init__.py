"""Throughline: one assistant on the website's chat and on the phone, over one shared record."""
