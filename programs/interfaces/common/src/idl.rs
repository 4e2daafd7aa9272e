//! IDL support: lean handlers take accounts unparsed, so Anchor does not see their types; a program names them here.

/// Print the account types of a program for its IDL, between markers that toolchain/build_all.py reads.
///
/// `idl_accounts!(Config, Meter)` at the top of an interface crate.
#[macro_export]
macro_rules! idl_accounts {
    ($($account:ty),+ $(,)?) => {
        #[cfg(all(test, feature = "idl-build"))]
        #[test]
        fn __anchor_private_print_idl_account_types() {
            extern crate std;
            let mut accounts = ::anchor_lang::__alloc::vec::Vec::new();
            let mut types = ::anchor_lang::__alloc::vec::Vec::new();
            $(<$account as ::anchor_lang::IdlAccountType>::__register_idl_deps(&mut accounts, &mut types);)+
            std::println!("--- IDL begin accounts ---");
            std::println!("{{\"accounts\":[{}],\"types\":[{}]}}", accounts.join(","), types.join(","));
            std::println!("--- IDL end accounts ---");
        }
    };
}
