"""An index behind a Beige server: `beige serve`, spoken to over HTTP."""
