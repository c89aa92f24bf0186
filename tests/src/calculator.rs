//! The project of the demo and of many tests: a calculator whose test fails until `add` is repaired.

/// Its files, with the gate that runs its tests.
pub const FILES: [(&str, &str); 4] = [
    (".gitignore", include_str!("../data/calculator/gitignore")),
    ("calculator.py", include_str!("../data/calculator/calculator.py")),
    ("orx.yaml", include_str!("../data/calculator/orx.yaml")),
    ("test_calculator.py", include_str!("../data/calculator/test_calculator.py")),
];
