"""The stages, one page each: read inputs, call the floors below, write outputs and metrics"""
