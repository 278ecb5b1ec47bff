create_user # owns files of the package
