"""The packet filter in nftables' terms: rulesets as nft's JSON, and the engine that applies them to packets (Linux nf_tables)."""
