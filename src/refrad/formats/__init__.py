"""Formats in which reports come: charsets, CSV with wrong quotes, Rich Text, HL7 messages, HTML and CDA. Nothing here knows medicine.

decode_rich_text(text)  # refrad.formats.rich_text
"""
