//! What an air-gap receiver decides about one connection.
