"""The five tabs and the dialogs over them."""
