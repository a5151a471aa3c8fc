"""One module for each inference library; `edgekit.runtime.session.open_session` alone imports them."""
