"""The dataset in the formats of others. Each module holds one: a function of rows and a folder."""
