//! Every test that needs real processes, in one program: it is linked once, and its tests run beside each other.

mod suite;
