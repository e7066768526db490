//! The Node face (napi-rs): `NodeRuntime`.
