"""The worker: one browser, one isolated context, one site session, one request per free slot."""
