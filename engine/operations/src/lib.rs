//! What couchcopy does.
