//! What an air-gap sender decides about one lane.
