"""Speech engines behind two small protocols: ``stt`` listens, ``tts`` speaks. One file per engine."""
