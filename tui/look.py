"""What all pages have in common to the eye: cursor, headings, lists, dialogs, toasts."""

from __future__ import annotations

CSS = """
Screen { background: $background; color: $text; }
* { scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }
DataTable { scrollbar-size-horizontal: 1; }
* { scrollbar-color: $scrollbar; scrollbar-background: $background; scrollbar-corner-color: $background; }
.hint { color: $muted; margin-top: 1; }

/* The cursor: strong where the keys go, faint where they would go. */
DataTable { background: $background; color: $text; }
DataTable > .datatable--header { background: $background; color: $muted; text-style: $heading-style; }
DataTable > .datatable--even-row, DataTable > .datatable--odd-row { background: $background; }
DataTable > .datatable--hover { background: $panel; }
DataTable > .datatable--cursor, Tree > .tree--cursor, OptionList > .option-list--option-highlighted {
    background: $selection-idle; color: $selection-idle-text; text-style: $selection-idle-style;
}
DataTable:focus > .datatable--cursor, Tree:focus > .tree--cursor,
OptionList:focus > .option-list--option-highlighted {
    background: $selection; color: $selection-text; text-style: $selection-style;
}
Tree > .tree--highlight { text-style: none; }
Tree > .tree--highlight-line { background: transparent; }

Input { text-style: $field-style; }
OptionList, OptionList:focus { border: none; background: $surface; background-tint: transparent; padding: 0; }
Button { text-style: $field-style; }
Button:focus, Button.-primary:focus, Button.-warning:focus, Button.-error:focus {
    background: $selection; color: $selection-text; text-style: bold; background-tint: transparent;
}
Checkbox > .toggle--button { color: $text; background: transparent; }
Checkbox.-on > .toggle--button { color: $ok; background: transparent; }
Checkbox:focus > .toggle--label { background: $selection; color: $selection-text; text-style: $selection-style; }

/* The library looks at what is inside such a widget again only where the widget itself has a rule for the focus. */
Results:focus-within, CatalogPane:focus-within { offset-x: 0; }

/* Dialogs lie on the page as it is: nothing behind them is drawn again. */
ModalScreen { background: transparent; }
.title { text-style: bold; }

/* A list that is led from the search above it shows its cursor although the keys go to the search. */
ChoiceDialog OptionList > .option-list--option-highlighted,
StatementList OptionList > .option-list--option-highlighted,
KeysDialog OptionList > .option-list--option-highlighted,
PaletteDialog OptionList > .option-list--option-highlighted {
    background: $selection; color: $selection-text; text-style: $selection-style;
}

/* Above the line of keys and the state of the connection, which a message must not hide. */
ToastRack { margin-bottom: 2; }
Toast { max-width: 70; background: $panel; color: $text; padding: 0 1; }
Toast.-information { border-left: outer $ok; }
Toast.-warning { border-left: outer $warning; }
Toast.-error { border-left: outer $danger; }
"""
