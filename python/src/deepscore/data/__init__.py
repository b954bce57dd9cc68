"""Data sets as blocks of cells: names, labels, values, kinds of data and the recipes that normalise them."""
