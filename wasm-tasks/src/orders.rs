//! A structure of about a hundred bytes each way: the ordinary call of a service.

use serde::{Deserialize, Serialize};
use wasmpool_guest::task;

/// What a customer wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Number of the order.
    pub id: u64,
    /// Who pays.
    pub customer: String,
    /// Name of the article.
    pub article: String,
    /// How many.
    pub count: u32,
    /// Price of one.
    pub cents_each: u64,
    /// Sent at once.
    pub express: bool,
}

/// What the customer pays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Number of the order.
    pub order: u64,
    /// Who pays.
    pub customer: String,
    /// Number and name of the articles.
    pub text: String,
    /// Price of all articles.
    pub cents: u64,
    /// Price of sending them.
    pub shipping_cents: u64,
}

/// Adds up an order.
#[task]
pub fn bill(order: Order) -> Result<Receipt, String> {
    let cents = order
        .cents_each
        .checked_mul(order.count.into())
        .ok_or_else(|| format!("order {} costs more than there is money", order.id))?;
    Ok(Receipt {
        order: order.id,
        customer: order.customer,
        text: format!("{} x {}", order.count, order.article),
        cents,
        shipping_cents: if order.express { 990 } else { 490 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(cents_each: u64) -> Order {
        Order {
            id: 7,
            customer: "Ada".to_owned(),
            article: "screws".to_owned(),
            count: 20,
            cents_each,
            express: true,
        }
    }

    #[test]
    fn a_receipt_adds_up() {
        let receipt = bill(order(5)).unwrap();
        assert_eq!((receipt.order, receipt.cents, receipt.shipping_cents), (7, 100, 990));
        assert_eq!(receipt.text, "20 x screws");
    }

    #[test]
    fn an_order_beyond_all_money_fails() {
        assert_eq!(bill(order(u64::MAX)), Err("order 7 costs more than there is money".to_owned()));
    }
}
