"""What a user should know about a setting that was taken over in another form, or that has no counterpart here."""

from pipeline.contracts.base import Contract


class SettingNote(Contract):
    """`setting`: its dotted path in the document that it stands in."""

    setting: str
    note: str
