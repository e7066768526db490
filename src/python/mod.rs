//! The Python face (PyO3): module `iris._iris`.
