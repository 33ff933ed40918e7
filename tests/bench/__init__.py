"""What the gateway costs: ``python -m tests.bench``. Nothing here asserts; `marks` judges."""
