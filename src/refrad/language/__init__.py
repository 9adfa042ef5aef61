"""German and English reports: sections, sentences, captions, and the anatomy that they mention.

    lexicon = load_lexicon(Path("workflow/anatomy/lexicon.yaml"))
    for section, text in sections_of(report):
        mentions = [find_mentions(sentence, detect_language(report), lexicon) for sentence in sentences_of(text)]

Captions are built by `captions.CaptionBuilder`; answers of language models are checked in `faithfulness` and `llm_mentions`.
"""

from refrad.language.mention_finder import TextMention, find_mentions
from refrad.language.sections import detect_language, sections_of
from refrad.language.sentences import sentences_of

__all__ = ["TextMention", "detect_language", "find_mentions", "sections_of", "sentences_of"]
