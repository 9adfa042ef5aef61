"""Files, tables, limited processes and the types that all other packages share.

frame = read_table(path, VolumeTable)  # refrad.core.tables, refrad.core.contracts
write_json(path, {"volumes": len(frame)})  # refrad.core.files
split: Split = "train"  # refrad.core.types
"""
