//! The attribute macros of `hooks-sdk`: they leave the function as it is and add the component's exports on Wasm.

mod config;
mod gate;

use proc_macro::TokenStream;

/// Reads a hook's config from the action file and describes it by a JSON schema.
///
/// Fields of type `Vec`, `Option` and `BTreeMap` may be left out; others are required unless they
/// have `#[config(default = ...)]`. Unknown names are errors. Doc comments become descriptions.
#[proc_macro_derive(Config, attributes(config))]
pub fn derive_config(input: TokenStream) -> TokenStream {
    config::derive(&syn::parse_macro_input!(input as syn::DeriveInput))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a function judge one changed object at a time.
///
/// It takes, in any order, `&Object` (as it will be; removed objects are skipped) or `&Change`, and
/// optionally a `&Config` and `&mut Report`. `paths = "glob"` and `kinds = "added, changed, removed"` say what it
/// is shown by default.
#[proc_macro_attribute]
pub fn object_gate(arguments: TokenStream, item: TokenStream) -> TokenStream {
    gate::expand(gate::Scope::Object, arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a function judge a change as a whole. It takes, in any order, a `&Config` and `&mut Report`, both optional.
#[proc_macro_attribute]
pub fn gate(arguments: TokenStream, item: TokenStream) -> TokenStream {
    gate::expand(gate::Scope::Change, arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
