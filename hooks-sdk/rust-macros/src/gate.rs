//! `#[gate]` and `#[object_gate]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, ItemFn, LitStr, Result, Type};

/// The contract. It is expanded into the hook's crate, which has no copy of the file.
const CONTRACT: &str = include_str!("../wit/hooks.wit");

/// The unit that a hook judges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Object,
    Change,
}

/// A parameter of the hook's function.
enum Parameter {
    Object,
    Change,
    Report,
    Config(Box<Type>),
}

pub(crate) fn expand(
    scope: Scope,
    arguments: TokenStream,
    item: TokenStream,
) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item)?;
    let (paths, kinds) = options(scope, arguments)?;
    let parameters = parameters(scope, &function)?;
    let config = parameters.iter().find_map(|p| match p {
        Parameter::Config(ty) => Some(ty.as_ref()),
        _ => None,
    });
    let schema = match config {
        None => quote!(<() as ::hooks_sdk::Schema>::schema()),
        Some(ty) => quote!(<#ty as ::hooks_sdk::Schema>::schema()),
    };
    let call = call(scope, &function, &parameters, config);
    let module = module(scope, &paths, &kinds);
    Ok(quote! {
        #function

        // Outside the module below, because `#schema` uses names from the hook's crate and the module uses names from
        // the contract.
        #[cfg(target_family = "wasm")]
        fn __weir_schema() -> ::hooks_sdk::private::serde_json::Value {
            #schema
        }

        #call
        #module
    })
}

/// Reads the parameters of the hook's function.
fn parameters(scope: Scope, function: &ItemFn) -> Result<Vec<Parameter>> {
    let inputs = function.sig.inputs.iter();
    let parameters = inputs
        .map(|argument| parameter(scope, argument))
        .collect::<Result<Vec<_>>>()?;
    let has_subject = parameters
        .iter()
        .any(|p| matches!(p, Parameter::Object | Parameter::Change));
    if scope == Scope::Object && !has_subject {
        return Err(Error::new_spanned(
            &function.sig,
            "an object gate needs a parameter of type `&Object` or `&Change`",
        ));
    }
    Ok(parameters)
}

/// The function that loads the configuration and calls the hook's function.
fn call(
    scope: Scope,
    function: &ItemFn,
    parameters: &[Parameter],
    config: Option<&Type>,
) -> TokenStream {
    let name = &function.sig.ident;
    let load = config.map(|ty| quote!(let config = <#ty as ::hooks_sdk::Config>::load()?;));
    let arguments: Vec<TokenStream> = parameters
        .iter()
        .map(|p| match p {
            Parameter::Object => quote!(object),
            Parameter::Change => quote!(change),
            Parameter::Report => quote!(report),
            Parameter::Config(_) => quote!(&config),
        })
        .collect();
    match scope {
        Scope::Change => gate_call(name, load.as_ref(), &arguments),
        Scope::Object => {
            let needs_object = parameters.iter().any(|p| matches!(p, Parameter::Object));
            object_gate_call(name, load.as_ref(), &arguments, needs_object)
        }
    }
}

/// The module with the bindings of the contract and the component's exports.
fn module(scope: Scope, paths: &[String], kinds: &[String]) -> TokenStream {
    let (world, scope_name, guest) = match scope {
        Scope::Change => ("weir:hooks/gate", "change", gate_guest()),
        Scope::Object => ("weir:hooks/object-gate", "object", object_gate_guest()),
    };
    quote! {
        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        #[allow(warnings, clippy::all, unsafe_code)]
        mod __weir_hook {
            ::hooks_sdk::private::wit_bindgen::generate!({
                inline: #CONTRACT,
                world: #world,
                runtime_path: "::hooks_sdk::private::wit_bindgen::rt",
                with: {
                    "weir:hooks/event@0.1.0": ::hooks_sdk::private::bindings::weir::hooks::event,
                    "weir:hooks/tree@0.1.0": ::hooks_sdk::private::bindings::weir::hooks::tree,
                    "weir:hooks/report@0.1.0": ::hooks_sdk::private::bindings::weir::hooks::report,
                    "weir:hooks/log@0.1.0": ::hooks_sdk::private::bindings::weir::hooks::log,
                    "weir:hooks/config@0.1.0": ::hooks_sdk::private::bindings::weir::hooks::config,
                },
                generate_all,
            });

            struct Hook;

            impl exports::weir::hooks::describe_api::Guest for Hook {
                fn describe() -> String {
                    ::hooks_sdk::private::describe(
                        env!("CARGO_PKG_NAME"),
                        env!("CARGO_PKG_VERSION"),
                        #scope_name,
                        &[#(#paths),*],
                        &[#(#kinds),*],
                        &super::__weir_schema(),
                    )
                }
            }

            #guest

            fn answer(verdict: ::hooks_sdk::Verdict) -> weir::hooks::answer::Verdict {
                match verdict {
                    ::hooks_sdk::Verdict::Pass => weir::hooks::answer::Verdict::Pass,
                    ::hooks_sdk::Verdict::Fail => weir::hooks::answer::Verdict::Fail,
                    ::hooks_sdk::Verdict::Skip => weir::hooks::answer::Verdict::Skip,
                }
            }

            export!(Hook);
        }
    }
}

fn gate_call(
    name: &syn::Ident,
    load: Option<&TokenStream>,
    arguments: &[TokenStream],
) -> TokenStream {
    quote! {
        #[cfg(target_family = "wasm")]
        fn __weir_check() -> ::core::result::Result<::hooks_sdk::Verdict, ::std::string::String> {
            ::hooks_sdk::private::run_gate(|report| {
                #load
                #name(#(#arguments),*)
            })
        }
    }
}

fn gate_guest() -> TokenStream {
    quote! {
        impl exports::weir::hooks::gate_api::Guest for Hook {
            fn check() -> Result<weir::hooks::answer::Verdict, String> {
                super::__weir_check().map(answer)
            }
        }
    }
}

fn object_gate_call(
    name: &syn::Ident,
    load: Option<&TokenStream>,
    arguments: &[TokenStream],
    needs_object: bool,
) -> TokenStream {
    let object = needs_object.then(
        || quote!(let Some(object) = object else { return ::core::result::Result::Ok(None) };),
    );
    quote! {
        #[cfg(target_family = "wasm")]
        fn __weir_check(
            change: &::hooks_sdk::Change,
            content: Option<&::hooks_sdk::Object>,
        ) -> ::core::result::Result<::hooks_sdk::Verdict, ::std::string::String> {
            ::hooks_sdk::private::run_object_gate(change, content, |change, object, report| {
                #object
                #load
                #name(#(#arguments),*).map(Some)
            })
        }
    }
}

fn object_gate_guest() -> TokenStream {
    quote! {
        impl exports::weir::hooks::object_gate_api::Guest for Hook {
            fn check_object(
                subject: ::hooks_sdk::private::bindings::weir::hooks::tree::Change,
                content: Option<::hooks_sdk::private::bindings::weir::hooks::tree::Object>,
            ) -> Result<weir::hooks::answer::Verdict, String> {
                let change = ::hooks_sdk::Change::from(subject);
                let content = content.map(::hooks_sdk::Object::from);
                super::__weir_check(&change, content.as_ref()).map(answer)
            }
        }
    }
}

/// Parses `paths = "..."` and `kinds = "..."`, which are lists separated by commas.
fn options(scope: Scope, arguments: TokenStream) -> Result<(Vec<String>, Vec<String>)> {
    let (mut paths, mut kinds) = (Vec::new(), Vec::new());
    let parser = syn::meta::parser(|meta| {
        let list: LitStr = meta.value()?.parse()?;
        let items = list
            .value()
            .split(',')
            .map(|s| s.trim().to_owned())
            .filter(|s| !s.is_empty())
            .collect();
        if meta.path.is_ident("paths") && scope == Scope::Object {
            paths = items;
        } else if meta.path.is_ident("kinds") && scope == Scope::Object {
            kinds = items;
            if kinds
                .iter()
                .any(|k| !["added", "changed", "removed"].contains(&k.as_str()))
            {
                return Err(Error::new_spanned(
                    &list,
                    "expected `added`, `changed` or `removed`",
                ));
            }
        } else {
            return Err(meta
                .error("expected `paths = \"...\"` or `kinds = \"...\"`, in an object gate only"));
        }
        Ok(())
    });
    syn::parse::Parser::parse2(parser, arguments)?;
    Ok((paths, kinds))
}

fn parameter(scope: Scope, argument: &FnArg) -> Result<Parameter> {
    let FnArg::Typed(typed) = argument else {
        return Err(Error::new_spanned(
            argument,
            "a hook must be a function, not a method",
        ));
    };
    let Type::Reference(reference) = typed.ty.as_ref() else {
        return Err(Error::new_spanned(
            &typed.ty,
            "the parameters of a hook must be references",
        ));
    };
    let last = match reference.elem.as_ref() {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .map(|s| s.ident.to_string())
            .unwrap_or_default(),
        _ => String::new(),
    };
    match last.as_str() {
        "Object" if scope == Scope::Object => Ok(Parameter::Object),
        "Change" if scope == Scope::Object => Ok(Parameter::Change),
        "Object" | "Change" => Err(Error::new_spanned(
            &typed.ty,
            "only an object gate can have this parameter",
        )),
        "Report" => Ok(Parameter::Report),
        _ => Ok(Parameter::Config(reference.elem.clone())),
    }
}
