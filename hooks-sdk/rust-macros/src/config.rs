//! `#[derive(Config)]`.
//!
//! Deserializes into a private mirror of the struct, so that the hook's crate needs no dependency on serde.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    Data, DataStruct, DeriveInput, Error, Expr, Field, Fields, Ident, Lit, Meta, Result, Type,
};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let Data::Struct(DataStruct {
        fields: Fields::Named(fields),
        ..
    }) = &input.data
    else {
        return Err(Error::new_spanned(
            name,
            "Config can only be derived for structs with named fields",
        ));
    };
    let fields = fields.named.iter();
    let fields = fields
        .map(|field| expand_field(name, field))
        .collect::<Result<Vec<_>>>()?;
    let mirror = mirror(name, &fields);
    let schema = schema(name, &fields);
    let defaults = fields.iter().map(|field| &field.default);
    Ok(quote! {
        const _: () = {
            #(#defaults)*
            #mirror
            #schema
            impl ::hooks_sdk::Config for #name {}
        };
    })
}

/// The code of one field.
struct ExpandedField {
    ident: Ident,
    /// The function that returns the default value; empty if there is none.
    default: TokenStream,
    /// The field of the mirror.
    mirrored: TokenStream,
    /// The statement that adds the field to the schema's properties.
    property: TokenStream,
    is_required: bool,
}

fn expand_field(name: &Ident, field: &Field) -> Result<ExpandedField> {
    let ident = field.ident.clone().expect("named fields have names");
    let (ty, key, description) = (&field.ty, ident.to_string(), doc(field));
    let mut default = quote!();
    let mut attribute = quote!();
    let mut default_json = quote!();
    let mut is_required = false;
    if let Some(expr) = default_of(field)? {
        let function = format_ident!("__default_{name}_{ident}");
        let path = function.to_string();
        let value = default_value(&expr);
        default = quote!(#[allow(non_snake_case)] fn #function() -> #ty { #value });
        attribute = quote!(#[serde(default = #path)]);
        default_json = quote! {
            if let Ok(value) = ::hooks_sdk::private::serde_json::to_value(&#function()) {
                schema["default"] = value;
            }
        };
    } else if is_optional(ty) {
        attribute = quote!(#[serde(default)]);
    } else {
        is_required = true;
    }
    let property = quote! {{
        let mut schema = <#ty as ::hooks_sdk::Schema>::schema();
        if !#description.is_empty() {
            schema["description"] = ::hooks_sdk::private::serde_json::Value::from(#description);
        }
        #default_json
        properties.insert(#key.to_owned(), schema);
    }};
    let mirrored = quote!(#attribute #ident: #ty);
    Ok(ExpandedField {
        ident,
        default,
        mirrored,
        property,
        is_required,
    })
}

/// The private mirror of the struct, and the conversion from it.
fn mirror(name: &Ident, fields: &[ExpandedField]) -> TokenStream {
    let mirror = format_ident!("__{name}Fields");
    let mirrored = fields.iter().map(|field| &field.mirrored);
    let idents = fields.iter().map(|field| &field.ident);
    quote! {
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
                Ok(Self { #(#idents: fields.#idents),* })
            }
        }
    }
}

/// The JSON schema of the struct.
fn schema(name: &Ident, fields: &[ExpandedField]) -> TokenStream {
    let properties = fields.iter().map(|field| &field.property);
    let required = fields
        .iter()
        .filter(|field| field.is_required)
        .map(|field| field.ident.to_string());
    quote! {
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
    }
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

/// Whether the configuration may leave out a field of this type. The field is then empty.
fn is_optional(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let last = path.path.segments.last();
    last.is_some_and(|s| ["Vec", "Option", "BTreeMap"].contains(&s.ident.to_string().as_str()))
}
