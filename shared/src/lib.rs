//! What every Fanfare function shares.
