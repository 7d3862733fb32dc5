//! `#[derive(Config)]`.
//!
//! Deserializes into a private mirror of the struct, so that the hook's crate needs no dependency on serde.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Expr, Field, Fields, Lit, Meta, Result, Type};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let wrong = || {
        Error::new_spanned(
            name,
            "Config can only be derived for structs with named fields",
        )
    };
    let Data::Struct(data) = &input.data else {
        return Err(wrong());
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(wrong());
    };

    let mirror = format_ident!("__{name}Fields");
    let mut mirrored = Vec::new();
    let mut defaults = Vec::new();
    let mut moved = Vec::new();
    let mut properties = Vec::new();
    let mut required = Vec::new();
    for field in &fields.named {
        let ident = field.ident.as_ref().expect("named fields have names");
        let (ty, key) = (&field.ty, ident.to_string());
        let description = doc(field);
        moved.push(quote!(#ident: fields.#ident));
        let mut attribute = quote!();
        let mut default_json = quote!();
        if let Some(expr) = default_of(field)? {
            let function = format_ident!("__default_{name}_{ident}");
            let path = function.to_string();
            let value = default_value(&expr);
            defaults.push(quote!(#[allow(non_snake_case)] fn #function() -> #ty { #value }));
            attribute = quote!(#[serde(default = #path)]);
            default_json = quote! {
                if let Ok(value) = ::hooks_sdk::private::serde_json::to_value(&#function()) {
                    schema["default"] = value;
                }
            };
        } else if is_optional(ty) {
            attribute = quote!(#[serde(default)]);
        } else {
            required.push(key.clone());
        }
        mirrored.push(quote!(#attribute #ident: #ty));
        properties.push(quote! {{
            let mut schema = <#ty as ::hooks_sdk::Schema>::schema();
            if !#description.is_empty() {
                schema["description"] = ::hooks_sdk::private::serde_json::Value::from(#description);
            }
            #default_json
            properties.insert(#key.to_owned(), schema);
        }});
    }

    Ok(quote! {
        const _: () = {
            #(#defaults)*

            #[derive(::hooks_sdk::private::serde::Deserialize)]
            #[serde(
                crate = "::hooks_sdk::private::serde",
                deny_unknown_fields,
                expecting = "a mapping"
            )]
            struct #mirror { #(#mirrored),* }

            impl<'de> ::hooks_sdk::private::serde::Deserialize<'de> for #name {
                fn deserialize<D: ::hooks_sdk::private::serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> ::core::result::Result<Self, D::Error> {
                    let fields = <#mirror as ::hooks_sdk::private::serde::Deserialize>::deserialize(deserializer)?;
                    Ok(Self { #(#moved),* })
                }
            }

            impl ::hooks_sdk::Schema for #name {
                fn schema() -> ::hooks_sdk::private::serde_json::Value {
                    let mut properties = ::hooks_sdk::private::serde_json::Map::new();
                    #(#properties)*
                    ::hooks_sdk::private::serde_json::json!({
                        "type": "object",
                        "properties": properties,
                        "required": [#(#required),*],
                        "additionalProperties": false,
                    })
                }
            }

            impl ::hooks_sdk::Config for #name {}
        };
    })
}

/// The code of a default value. A string literal is converted to the field's type, usually `String`.
fn default_value(expr: &Expr) -> TokenStream {
    match expr {
        Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)) => {
            quote!(::core::convert::Into::into(#expr))
        }
        _ => quote!(#expr),
    }
}

/// The expression of `#[config(default = ...)]`.
fn default_of(field: &Field) -> Result<Option<Expr>> {
    let mut found = None;
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("config")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("default") {
                return Err(meta.error("expected `default = ...`"));
            }
            found = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    Ok(found)
}

/// The doc comment of a field, on one line.
fn doc(field: &Field) -> String {
    let lines = field.attrs.iter().filter_map(|a| match &a.meta {
        Meta::NameValue(m) if m.path.is_ident("doc") => match &m.value {
            Expr::Lit(l) => match &l.lit {
                Lit::Str(s) => Some(s.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// Whether a field of this type has an empty value, which applies if the configuration leaves it out.
fn is_optional(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let last = path.path.segments.last();
    last.is_some_and(|s| ["Vec", "Option", "BTreeMap"].contains(&s.ident.to_string().as_str()))
}
