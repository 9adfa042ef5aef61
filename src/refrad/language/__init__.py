"""German and English reports: sections, sentences, captions, and the anatomy that they mention.

    lexicon = load_lexicon(Path("workflow/anatomy/lexicon.yaml"))
    for section, text in split_sections(report):
        mentions = [find_mentions(sentence, detect_language(report), lexicon) for sentence in split_sentences(text)]

Captions are built by `captions.CaptionBuilder`; answers of language models are checked in `llm_mentions` and in
`refrad.statements`.
"""

from refrad.language.mention_finder import TextMention, find_mentions
from refrad.language.sections import detect_language, split_sections
from refrad.language.sentences import split_sentences

__all__ = ["TextMention", "detect_language", "find_mentions", "split_sections", "split_sentences"]
