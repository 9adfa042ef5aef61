"""The records of the stages, the config as the rules see it, fingerprints, tallies and estimates.

site = Site(load_config([Path("config.yaml")]))  # refrad.workflow.site
fingerprint = Fingerprint.parse(site.fingerprint("masks"))  # refrad.workflow.fingerprint
STAGES["masks"].metrics_pattern  # refrad.workflow.stages
"""
