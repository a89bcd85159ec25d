//! The operations on one number, which values, arrays and views have in common.
//!
//! Each of the three has two functions, `cell` and `exchange`, to which everything else comes down.

/// The place of a number: in a value there is but one.
macro_rules! place {
    () => {
        0
    };
    ($index:ident) => {
        $index
    };
}
pub(super) use place;

/// The operations on one number; given an `index`, on one of many.
macro_rules! cell_methods {
    ($($index:ident)?) => {
        /// Reads the number.
        ///
        /// # Errors
        ///
        /// When there is no such element, or a view is in the way.
        #[inline]
        pub fn get(&self $(, $index: usize)?) -> Result<T, SharedError> {
            self.cell(place!($($index)?), CellOp::Get, 0, 0).map(T::from_bits)
        }

        /// Writes the number.
        ///
        /// # Errors
        ///
        /// Those of [`get`](Self::get), and when the object was granted for reading only.
        #[inline]
        pub fn set(&self $(, $index: usize)?, value: T) -> Result<(), SharedError> {
            self.cell(place!($($index)?), CellOp::Set, value.to_bits(), 0).map(|_| ())
        }

        /// Writes the number, and returns the one before.
        ///
        /// # Errors
        ///
        /// Those of [`set`](Self::set).
        #[inline]
        pub fn swap(&self $(, $index: usize)?, value: T) -> Result<T, SharedError> {
            self.cell(place!($($index)?), CellOp::Set, value.to_bits(), 0).map(T::from_bits)
        }

        /// Writes `new` if the number is `current`, bit for bit.
        ///
        /// Returns the number before: as `Ok` if `new` was written, as `Err` if it was another one than `current`.
        ///
        /// # Errors
        ///
        /// Those of [`set`](Self::set).
        #[inline]
        pub fn compare_exchange(
            &self,
            $($index: usize,)?
            current: T,
            new: T,
        ) -> Result<Result<T, T>, SharedError> {
            match self.exchange(place!($($index)?), current.to_bits(), new.to_bits())? {
                Ok(before) => Ok(Ok(T::from_bits(before))),
                Err(found) => Ok(Err(T::from_bits(found))),
            }
        }

        /// Replaces the number by what `change` makes of it, and returns the one before.
        ///
        /// Nobody's change is lost: if the number is changed by others meanwhile, `change` is called again, with the new
        /// number. As with the standard library's atomics, what it makes should depend on the number only.
        ///
        /// # Errors
        ///
        /// Those of [`set`](Self::set).
        #[inline]
        pub fn update(
            &self,
            $($index: usize,)?
            mut change: impl FnMut(T) -> T,
        ) -> Result<T, SharedError> {
            let place = place!($($index)?);
            let mut bits = self.cell(place, CellOp::Get, 0, 0)?;
            loop {
                match self.exchange(place, bits, change(T::from_bits(bits)).to_bits())? {
                    Ok(before) => return Ok(T::from_bits(before)),
                    Err(found) => bits = found,
                }
            }
        }

        /// Adds, and returns the number before. Integers wrap.
        ///
        /// # Errors
        ///
        /// Those of [`set`](Self::set).
        #[inline]
        pub fn fetch_add(&self $(, $index: usize)?, value: T) -> Result<T, SharedError>
        where
            T: Number,
        {
            self.cell(place!($($index)?), CellOp::Add, value.to_bits(), 0).map(T::from_bits)
        }

        /// Subtracts, and returns the number before. Integers wrap.
        ///
        /// # Errors
        ///
        /// Those of [`set`](Self::set).
        #[inline]
        pub fn fetch_sub(&self $(, $index: usize)?, value: T) -> Result<T, SharedError>
        where
            T: Number,
        {
            self.cell(place!($($index)?), CellOp::Sub, value.to_bits(), 0).map(T::from_bits)
        }

        /// Keeps the lower of both numbers, and returns the one before.
        ///
        /// # Errors
        ///
        /// Those of [`set`](Self::set).
        #[inline]
        pub fn fetch_min(&self $(, $index: usize)?, value: T) -> Result<T, SharedError>
        where
            T: Number,
        {
            self.cell(place!($($index)?), CellOp::Min, value.to_bits(), 0).map(T::from_bits)
        }

        /// Keeps the higher of both numbers, and returns the one before.
        ///
        /// # Errors
        ///
        /// Those of [`set`](Self::set).
        #[inline]
        pub fn fetch_max(&self $(, $index: usize)?, value: T) -> Result<T, SharedError>
        where
            T: Number,
        {
            self.cell(place!($($index)?), CellOp::Max, value.to_bits(), 0).map(T::from_bits)
        }

        /// Bitwise and; returns the value before.
        ///
        /// # Errors
        ///
        /// Those of [`set`](Self::set).
        #[inline]
        pub fn fetch_and(&self $(, $index: usize)?, value: T) -> Result<T, SharedError>
        where
            T: Bits,
        {
            self.cell(place!($($index)?), CellOp::And, value.to_bits(), 0).map(T::from_bits)
        }

        /// Bitwise or; returns the value before.
        ///
        /// # Errors
        ///
        /// Those of [`set`](Self::set).
        #[inline]
        pub fn fetch_or(&self $(, $index: usize)?, value: T) -> Result<T, SharedError>
        where
            T: Bits,
        {
            self.cell(place!($($index)?), CellOp::Or, value.to_bits(), 0).map(T::from_bits)
        }

        /// Bitwise exclusive or; returns the value before.
        ///
        /// # Errors
        ///
        /// Those of [`set`](Self::set).
        #[inline]
        pub fn fetch_xor(&self $(, $index: usize)?, value: T) -> Result<T, SharedError>
        where
            T: Bits,
        {
            self.cell(place!($($index)?), CellOp::Xor, value.to_bits(), 0).map(T::from_bits)
        }
    };
}
pub(super) use cell_methods;
