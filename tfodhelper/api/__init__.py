"""The functions and classes that `import tfodhelper` gives to a person: thin, typed, over the rooms below."""
