;; Names that would clear the terminal, if anybody printed them as they are.
(module
  (func (export "clear\1b[2J") (param $n i32) (result i32) local.get $n)
  (func (export "line\nwasmpool: all is well") (param $n i32) (result i32) local.get $n))
