//! Codes stored as one byte: roles, statuses, sides. Of each there is an enum and, for accounts and events, the byte that stores it.

/// Define an enum of codes, and the byte that stores it: any byte is sound there, and its `get` says what it means.
///
/// In the IDLs the byte is the enum. An IDL's enum counts its variants from 0; a number without a variant is `ReservedN` there.
#[macro_export]
macro_rules! code {
    (
        $(#[doc = $doc:literal])+
        $name:ident as $stored:ident { $($(#[doc = $vdoc:literal])+ $variant:ident = $value:literal,)+ }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name {
            $($(#[doc = $vdoc])+ $variant = $value,)+
        }

        impl $name {
            /// The code's meaning, or `None` where it has none.
            #[inline(always)]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($value => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        #[doc = concat!("A [`", stringify!($name), "`] as an account or event stores it: one byte.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $stored(pub u8);

        // SAFETY: a transparent wrapper of an integer.
        unsafe impl ::anchor_lang::bytemuck::Zeroable for $stored {}
        // SAFETY: likewise.
        unsafe impl ::anchor_lang::bytemuck::Pod for $stored {}

        impl $stored {
            /// Its meaning, or `None` where it has none.
            #[inline(always)]
            pub const fn get(self) -> Option<$name> {
                $name::from_code(self.0)
            }
        }

        impl From<$name> for $stored {
            #[inline(always)]
            fn from(value: $name) -> Self {
                Self(value as u8)
            }
        }

        impl PartialEq<$name> for $stored {
            #[inline(always)]
            fn eq(&self, other: &$name) -> bool {
                self.0 == *other as u8
            }
        }

        #[cfg(feature = "idl-build")]
        impl ::anchor_lang::IdlAccountType for $stored {
            const __IDL_TYPE_DEF: Option<&'static str> = Some(concat!(
                "{\"name\":\"", stringify!($stored), "\",\"type\":{\"kind\":\"type\",\"alias\":{\"defined\":{\"name\":\"",
                stringify!($name), "\"}}}}"
            ));
            fn __register_idl_deps(
                _: &mut ::anchor_lang::__alloc::vec::Vec<&'static str>,
                types: &mut ::anchor_lang::__alloc::vec::Vec<&'static str>,
            ) {
                types.extend(Self::__IDL_TYPE_DEF);
                // toolchain/build_all.py makes the enum of it: joined lists, and each variant with its number.
                types.push(concat!(
                    "{\"name\":\"", stringify!($name), "\",\"docs\":\"", $($doc, "\\n",)+ "\",\"type\":{\"kind\":\"codes\",\"codes\":{",
                    "\"\":-1", $(",\"", stringify!($variant), "\":", stringify!($value),)+ "}}}"
                ));
            }
        }
    };
}
