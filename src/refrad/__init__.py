"""RefRad: a hospital's own CT/MR archive and reports, turned into a spatially grounded vision-language dataset."""

__version__ = "0.1.0"
