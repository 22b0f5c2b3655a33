//! What the stories share: a stack, a client, a naive model.
