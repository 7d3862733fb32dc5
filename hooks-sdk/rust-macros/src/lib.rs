//! The macros of `hooks-sdk`. Use them through that crate.
//!
//! The attribute macros keep the annotated function as it is, so that native tests can call it. For Wasm
//! targets they add the exports of the component.

mod config;
mod gate;

use proc_macro::TokenStream;

/// Implements `Config`: reads the hook's configuration from the action file and describes it as a JSON schema.
///
/// Fields of type `Vec`, `Option` and `BTreeMap` are optional. All other fields are required, unless they have a
/// default: `#[config(default = 3)]`, `#[config(default = ",")]` for a `String`, or any other expression of the
/// field's type. Unknown names in the action file are errors. The doc comments of the fields become the
/// descriptions in the schema.
#[proc_macro_derive(Config, attributes(config))]
pub fn derive_config(input: TokenStream) -> TokenStream {
    config::derive(&syn::parse_macro_input!(input as syn::DeriveInput))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Turns a function into a hook that judges one changed object at a time.
///
/// The parameters of the function are references, in any order:
///
/// - `&Object`, the object after the change (the hook skips removed objects), or `&Change`, or both
/// - `&mut Report` (optional)
/// - a reference to a type that implements `Config` (optional)
///
/// `paths = "GLOB, GLOB"` and `kinds = "added, changed, removed"` set which changed objects the hook receives if
/// the action file has no `select`.
#[proc_macro_attribute]
pub fn object_gate(arguments: TokenStream, item: TokenStream) -> TokenStream {
    gate::expand(gate::Scope::Object, arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Turns a function into a hook that judges a change as a whole.
///
/// The parameters of the function are references, in any order: `&mut Report` and a reference to a type that
/// implements `Config`, both optional.
#[proc_macro_attribute]
pub fn gate(arguments: TokenStream, item: TokenStream) -> TokenStream {
    gate::expand(gate::Scope::Change, arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
